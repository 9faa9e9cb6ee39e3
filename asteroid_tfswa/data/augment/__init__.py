"""Augmentation of training items, as the section `augment` of a configuration describes it."""

from asteroid_tfswa.data.augment.batch import StemBatch, allocate, mix
from asteroid_tfswa.data.augment.settings import Augment

__all__ = ["Augment", "StemBatch", "allocate", "mix"]
