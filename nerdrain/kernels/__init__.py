"""The network's slowest parts as CUDA kernels with the same numbers, in Triton (chapter 9)."""
