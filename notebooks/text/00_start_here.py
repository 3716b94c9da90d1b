# %% [markdown]
# # Start here
#
# <!-- worked -->
#
# *A worked version of the first assignment of a course on deep learning for engineers: every theory question answered
# with real numbers and a picture that moves, and two networks really trained.*
#
# <!-- /worked -->
# <!-- student:
# *The first assignment of a course on deep learning for engineers: theory questions asked with real numbers and pictures
# that move, and two networks to write and train.*
# -->
#
# Open a notebook, run its cells from the top with Shift + Enter, and stop at every **Your turn**: type your answer, run
# the check below it, and it tells you at once what is right and which slip you made.<!-- worked --> The worked solution
# follows.<!-- /worked -->
#
# <!-- student:
# **This is the student edition.** The worked solutions are not in it. `hint("1a")` gives hints, one at each call, and
# `progress()` counts your points. The explorers open when the questions of their notebook are answered.
# -->
#
# | notebook | minutes | points | afterwards you can |
# |---|---|---|---|
# | [01 · Gradient descent on GELU](01_gelu_gradient_descent.ipynb) | 40 | 12 | judge a step size, and say when momentum helps |
# | [02 · Logic gates](02_logic_gates.ipynb) | 45 | 12 | build the smallest network for a gate, and prove that no smaller one exists |
# | [03 · Backpropagation](03_backpropagation.ipynb) | 50 | 10 | derive every gradient of a two-layer network, and check it |
# | [04 · Convolution and pooling](04_convolution_and_pooling.ipynb) | 45 | 16 | do both by hand, and say why a stride is impossible |
# | [05 · A NumPy MLP on MNIST](05_numpy_mlp_on_mnist.ipynb) | 60 | 25 | write and train a network with nothing but NumPy |
# | [06 · A CNN on CIFAR-10](06_pytorch_cnn_on_cifar10.ipynb) | 60 | 25 | train a convolutional network, and judge it honestly |
#
# <!-- worked -->
#
# Notebooks 01 to 04 run in seconds: 01 and 02 need NumPy and SciPy, 03 and 04 also PyTorch for their cross-checks, 03
# SymPy too. 05 trains for some seconds and needs MNIST, 11 MB; 06 trains for half a minute and needs CIFAR-10, 162 MB,
# which 04 also takes its last picture from. Both are fetched once.
#
# <!-- /worked -->
# <!-- student:
# Notebooks 01 to 05 need NumPy and SciPy, 06 PyTorch. 05 works on MNIST, 11 MB; 06 on CIFAR-10, 162 MB, which 04 also takes
# its last picture from. Both are fetched once.
# -->

# %% [markdown]
# ## Is everything here?
#
# The table lists what the workbook found. A line that is not ok names its remedy.

# %% tags=["nbval-ignore-output"]
from helpers import check_environment

check_environment.report()

# %% [markdown]
# ## How a check answers
#
# Here is one to try. What is σ(0), the sigmoid at zero? Replace the `...` and run the cell.

# %%
from helpers.answers import check, hint

answer = ...
check("0", answer)

# %% [markdown]
# Stuck? `hint("0")` gives a hint, and the next call the next one. A check never fails over an answer,
# whatever it is, and never shows the right one.
#
# ## How far you are
#
# What you answer rightly is kept, in all notebooks together, in a small file beside them. Run the cell again whenever
# you like. Programming 2 counts 5 points here, so that all parts add up to 80: its other 20 are for code and report, which
# people judge.

# %%
from helpers.answers import progress

progress()

# %% [markdown]
# ## Three things worth knowing
#
# 1. **Explorers** are the cells with sliders. They need a running kernel; without one you see their picture. Every
#    explorer works with the keyboard: Tab moves on, arrow keys move a slider.
# 2. **Numbers.** What is printed here was confirmed by a second, independent route in the tests. Where the handout is
#    wrong or open, the notebook says so: *as printed / as we read it*.
# 3. **Your copy.** The notebooks are yours to change. To have the originals back,<!-- worked -->
#    `git checkout notebooks`<!-- /worked --><!-- student: unpack the edition once more -->.

# %% [markdown] tags=["worked"]
# All twelve places where the handout is wrong or open, and every term in one sentence:
# [errata and glossary](errata_and_glossary.md).

# %% [markdown]
# **Next:** [01 · Gradient descent and momentum on GELU](01_gelu_gradient_descent.ipynb).
