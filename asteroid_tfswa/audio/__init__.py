"""Audio of any format, sample rate and number of channels, block by block.

Blocks are 32-bit float arrays (time, chan), as soundfile has them; memory does not grow with the
length of a file.
"""
