"""NeRD-Rain, readable and fast: bidirectional multi-scale implicit representations for deraining.

The paper is X. Chen, J. Pan and J. Dong, "Bidirectional Multi-Scale Implicit Neural Representations
for Image Deraining", CVPR 2024; docstrings say "the paper" and cite its sections and equations.

Names are imported when they are first used, so that the command line answers at once; the file
``__init__.pyi`` lists them.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
