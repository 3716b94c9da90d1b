"""The numbers that the assignment gives, and nothing that it asks for."""

import numpy as np

# Theory 1: gradient descent on GELU.
GELU_SCALE = 1.702  # GELU(x) is approximated by x * sigmoid(1.702 x)
START_NEAR, START_FAR = 0.0, -3.0  # x0 of parts 1a and 1b, and of part 1c
SMALL_STEP, LARGE_STEP = 0.1, 1.0  # the step sizes of parts 1a and 1b; the corrected edition gives 1c the small one
MOMENTUM = 0.9  # beta of Eq. 5
STEPS = 3

# Theory 4: convolution and pooling (Fig. 5).
FEATURE_MAP = np.array([[3, 5, 2, 3], [9, 1, 8, 4], [6, 4, 3, 7], [7, 0, 2, 4]], dtype=float)
FILTER_1 = np.array([[-1, 0.5, -2], [2, 0, 1], [0, 1, 1.5]])
FILTER_2 = np.array([[-1, 0.5], [2, 0]])
for _given in (FEATURE_MAP, FILTER_1, FILTER_2):
    _given.flags.writeable = False
