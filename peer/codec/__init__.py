"""How a delta becomes bytes and back: one file a codec, with the kernels that they share."""
