"""Audio of any format, sample rate and number of channels, block by block.

Blocks are float32 arrays (time, chan), as in soundfile. Memory does not grow with the length of a
file.
"""
