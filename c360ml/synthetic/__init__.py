"""A car-maker world whose truth is known: people, households, records, purchases, events, campaigns."""

from c360ml.synthetic.planted import Planted, expected_repeat_purchases
from c360ml.synthetic.world import write_world

__all__ = ["Planted", "expected_repeat_purchases", "write_world"]
