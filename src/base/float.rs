//! Extended-precision floats, as `INCRBYFLOAT` computes with them.
