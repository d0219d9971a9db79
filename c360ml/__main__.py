"""`python -m c360ml` is `c360ml`."""

from c360ml.cli import main

main()
