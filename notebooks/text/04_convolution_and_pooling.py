# %% [markdown]
# # 4 · Convolution and pooling
#
# *Sixteen small sums by hand, and you will know what a convolution layer computes, when an output size exists, and why
# pooling is a convolution too.*
#
# **Minutes** 45 · **Points** 16 · **Needs** NumPy; <!-- worked -->SciPy and PyTorch for the cross-check;<!-- /worked -->
# CIFAR-10 (162 MB, fetched once) for the last picture ·
# [← 03](03_backpropagation.ipynb) · [start](00_start_here.ipynb) · [05 →](05_numpy_mlp_on_mnist.ipynb)

# %% [markdown]
# ## The question
#
# Fig. 5 gives a map $F$ of 4 × 4 cells and two filters. Everything is counted by hand.
#
# | part | given | asked for |
# |---|---|---|
# | 4a [4] | Filter1, stride 1, zero padding | the padding that makes the output $F'$ as large as $F$, and $F'$ |
# | 4b [4] | Filter2, padding 1 | can the output be as large as $F$? With which stride, or why not? |
# | 4c [4] | $F'$, average pooling of size 2, stride 2 | the pooled map |
# | 4d [4] | the result of 4c | a filter, a stride and a padding whose convolution gives the same |
#
# **As printed / as we read it.**
#
# 1. The handout says *convolution*. Mathematics turns the kernel by 180° before it slides it over the map; deep learning
#    does not, and calls the result convolution all the same. Its proper name is *cross-correlation*. We read the question
#    as deep learning does. The two results differ in every cell<!-- worked -->; the other stands beside
#    ours<!-- /worked -->.
# 2. *Padding 1* means one cell on **each** side, so the map grows by two rows and two columns.

# %%
import numpy as np

from helpers import assignment as given
from helpers.answers import check, hint
from helpers.core import convolution as core
from helpers.explore import convolution as explore
from helpers.figures import convolution as figures
from helpers.style import Table

# %% [markdown]
# ## See it

# %%
F, Filter1, Filter2 = given.FEATURE_MAP, given.FILTER_1, given.FILTER_2
figures.given_maps(F, {"Filter1": Filter1, "Filter2": Filter2})

# %% [markdown]
# Lay a filter on the map so that it covers a **window** of it. Multiply each covered value by the weight that lies on it,
# add the products up, and write the sum into one cell of the output. Move the window by the **stride** and do it again.
# That is all a convolution layer does.
#
# ### How many cells does the output have?
#
# Along one axis let the map have $n$ cells, the padding add $p$ on each side, and the window span $k$ cells. The window
# starts at the left end. It can move on by $n + 2p - k$ cells before it leaves the padded map, in steps of $s$:
#
# $$\text{size} = \frac{n + 2p - k}{s} + 1$$
#
# The $+1$ is the position where it started. If the fraction is not whole, the last window does not end where the map
# ends, and no output covers the map evenly.

# %% [markdown]
# ## Part 4a — the padding that keeps the size, and the map F′ [4 points]
#
# Three of the four letters are given: $n = 4$, $k = 3$, $s = 1$. The size shall be 4. Solve for $p$, then fill in $F'$.
#
# ### Your turn
#
# `padding` is a whole number, `F_prime` a list of four rows such as `[[1, 2, 3, 4], [...], ...]`.

# %%
padding, F_prime = ..., ...

# %%
check("4a", padding, F_prime)

# %% [markdown]
# <details><summary>Stuck? Hints, one at a time</summary>
#
# <details><summary>First hint</summary>Set (4 + 2p − 3)/1 + 1 equal to 4.</details>
# <details><summary>Second hint</summary>Draw F with a border of zeros, 6 by 6 cells in all. The first window covers its
# upper left 3 by 3 cells.</details>
# <details><summary>Third hint</summary>Five of the first nine values are zeros of the border, and one weight is 0:
# F′(1, 1) = 5·1 + 9·1 + 1·1.5.</details>
#
# In a live notebook, `hint("4a")` gives hints too, one at each call.
# </details>
#
# ### Worked
#
# $(4 + 2p - 3)/1 + 1 = 4$ gives $2p = 2$, so $p = 1$. In general a window of odd size $k$ at stride 1 keeps the size
# with $p = (k-1)/2$: when its centre stands on the first cell, so many of its cells hang over that edge, and as many hang
# over the other when it stands on the last.

# %%
sizes = [core.size_arithmetic(4, 3, padding=p).reason for p in (0, 1, 2)]
Table.columns({"padding": (0, 1, 2), "(n + 2p − k)/s + 1": sizes})

# %% [markdown]
# Now the map. Two loops, one line: window times filter, summed.

# %%
padded, F_prime = core.pad(F, 1), np.zeros((4, 4))
for i, j in np.ndindex(4, 4):
    F_prime[i, j] = (padded[i : i + 3, j : j + 3] * Filter1).sum()
print(F_prime)

# %% [markdown]
# Here are all sixteen windows. The small print is value · weight, the large number their product, the title the sum.
# Take $F'(2, 2)$, the first window without any padding: $-3 + 2.5 - 4 + 18 + 8 + 4 + 4.5 = 30$.

# %%
figures.all_windows(F, Filter1, padding=1)

# %% [markdown]
# ### And if the kernel is turned?
#
# Turned by 180°, Filter1 gives the map on the right. Not one of the sixteen numbers stays. A network would not care: it
# *learns* its weights, and would learn them turned. Whoever computes by hand, or copies weights from a signal processing
# library, has to know which of the two is meant.

# %%
figures.both_conventions(F, Filter1, padding=1)

# %% [markdown]
# ## Part 4b — Filter2 with padding 1 [4 points]
#
# ### Your turn
#
# `possible` is `True` or `False`. `stride` is the number that the size formula asks for, whether or not it is a stride.

# %%
possible, stride = ..., ...

# %%
check("4b", possible, stride)

# %% [markdown]
# <details><summary>Stuck? A hint</summary>Put n = 4, p = 1 and k = 2 into the size formula, set it equal to 4, and solve
# for s. May a window move by that many cells?</details>
#
# ### Worked
#
# $(4 + 2\cdot 1 - 2)/s + 1 = 4$ gives $4/s = 3$, hence $s = 4/3$. A window moves by whole cells, so **no**: no stride
# makes the output as large as $F$. Below are the strides 1 to 4 along one axis. Each bar is one position of the window.

# %%
figures.window_tape(4, kernel_size=2, padding=1, strides=(1, 2, 3, 4))

# %% [markdown]
# Stride 1 gives one cell too many, stride 2 one too few, and nothing lies between them. Stride 3 gives no size at all: its
# last window stops one cell short of the end. (Stride 4 skips cells too, but ends where the map ends.) PyTorch would
# round down to 2 without a word, and even by its rule no stride gives 4; the functions here refuse, unless you say
# `floor=True`.
#
# ### What would make it possible
#
# The obstacle is the even window. At stride 1 it needs $k - 1 = 1$ cell of padding **in total**, and one cell cannot be
# shared out evenly over two sides. Padding on one side works, and along each axis there are two ways to do it.
# Or pull the window's cells
# apart: with *dilation* 2 they span 3 cells, and padding 1 on each side is right again.

# %%
ways = {"above and left only": dict(padding=(1, 0)),
        "below and right only": dict(padding=(0, 1)),
        "all sides, dilation 2": dict(padding=1, dilation=2)}  # fmt: skip
sizes = [core.size_arithmetic(4, 2, **way).reason for way in ways.values()]
Table.columns({"padding 1": ways, "size": sizes})

# %%
before, after = ((1, 0), (1, 0)), ((0, 1), (0, 1))
print("above and left\n", core.correlate(F, Filter2, padding=before))
print("below and right\n", core.correlate(F, Filter2, padding=after))

# %% [markdown]
# Look closely: the second map is the first one, moved up and left by one cell, with new numbers at its far edges. An even
# window has no centre cell, so its output always sits half a cell off. That is one quiet reason why
# convolution layers mostly use 3, 5 or 7.

# %% [markdown]
# ## Part 4c — average pooling [4 points]
#
# Pooling of size 2 with stride 2 cuts $F'$ into four blocks that do not overlap, and keeps the mean of each.
#
# ### Your turn
#
# `pooled` is a list of two rows.

# %%
pooled = ...

# %%
check("4c", pooled)

# %% [markdown]
# <details><summary>Stuck? A hint</summary>The upper left block holds F′(1, 1), F′(1, 2), F′(2, 1) and F′(2, 2). Mind that
# it is F′ that is pooled, not F.</details>
#
# ### Worked

# %%
pooled = core.average_pool(F_prime, size=2, stride=2)
print(pooled)

# %% [markdown]
# By hand: $(15.5 + 21 + 4.5 + 30)/4 = 71/4 = 17.75$, then $67/4 = 16.75$, $8/4 = 2$ and $14/4 = 3.5$.

# %% [markdown]
# ## Part 4d — the same by convolution [4 points]
#
# Which smallest filter, at which stride and with how much padding, turns $F'$ into the pooled map?
#
# ### Your turn

# %%
kernel, stride, padding = ..., ..., ...

# %%
check("4d", kernel, stride, padding)

# %% [markdown]
# <details><summary>Stuck? A hint</summary>A convolution is a weighted sum. Which four weights make it a mean? And how far
# apart do two neighbouring blocks begin?</details>
#
# ### Worked
#
# A mean is a sum with equal weights that add up to 1. Four cells, so each weighs $\tfrac14$; blocks begin two cells apart,
# so the stride is 2; the first begins at the first cell, so the padding is 0. The size agrees: $(4 + 0 - 2)/2 + 1 = 2$.

# %%
kernel = [[1 / 4, 1 / 4], [1 / 4, 1 / 4]]
print(core.correlate(F_prime, kernel, stride=2, padding=0))
figures.pooling_two_ways(F_prime)

# %% [markdown]
# The middle map shows what happens at stride 1: a blurred $F'$. Stride 2 keeps every second cell of it. So average
# pooling is **blur, then subsample**, in one stroke that never computes what it would throw away.
#
# ### Many channels: the depthwise form
#
# In a network a map has many channels, and a convolution layer *adds over all of them*. Pooling must not: it treats each
# channel by itself. That is a **depthwise** convolution, with as many groups as channels. The ordinary layer can do it as
# well, with filters that are zero wherever an output would look at another channel. Three channels, pooled both ways:

# %%
channels = np.stack([F_prime, F, F.T])
means = core.average_pool(channels)
depthwise = core.depthwise_averaging_kernels(3)
dense = core.dense_averaging_kernels(3)
by_groups = core.correlate_channels(channels, depthwise, stride=2, groups=3)
by_zeros = core.correlate_channels(channels, dense, stride=2)
print("kernels", depthwise.shape, "equal to pooling:", np.array_equal(by_groups, means))
print("kernels", dense.shape, "equal to pooling:", np.array_equal(by_zeros, means))

# %% [markdown]
# ## Explore
#
# **Predict first.** Filter1 with padding 1 on $F$: which of the strides 1, 2, 3, 4 give an output at all? Then press
# *Next* and follow the window; *Play* runs through all positions. Turn the filter by 180° and see which weight stays
# where it is, and what becomes of the nine products. Last, choose *average 2 × 2* with padding 0 and stride 2, and type
# your $F'$ into the map.

# %%
explore.window(position=6)

# %% [markdown]
# <details><summary>What you may have seen</summary>
#
# The size is 3/s + 1, so strides 1 and 3 give 4 and 2 cells, and strides 2 and 4 give none. The crossed-out cells lie
# beyond the last window. With the switch for PyTorch's rule they stay unread, and the map appears.
# </details>

# %% [markdown]
# ## Cross-check
#
# Three other routes to the same numbers. SciPy and PyTorch bring their own convolutions. The third is pure algebra: a
# convolution is linear, so it is *one matrix* $M$ that maps the 16 cells of $F$ to the 16 cells of $F'$.

# %%
M = core.as_matrix(Filter1, (4, 4), padding=1)
figures.kernel_matrix(M)

# %% [markdown]
# A dense layer from 16 to 16 cells has 256 free weights. This one has the nine of Filter1, used again and again: most
# entries are 0 because a window sees only its neighbourhood, and the bands run parallel because every window carries the
# same weights. That is what one means by *sparse connections* and *shared weights*.

# %%
import torch
from scipy import signal

image, weights = (torch.tensor(np.array([[grid]])) for grid in (F, Filter1))
routes = {"SciPy": signal.correlate2d(F, Filter1, "same"),
          "PyTorch": torch.conv2d(image, weights, padding=1)[0, 0].numpy(),
          "matrix": (M @ F.ravel()).reshape(4, 4)}  # fmt: skip
differences = [abs(route - F_prime).max() for route in routes.values()]
Table.columns({"route": routes, "largest difference": differences}, ".1f")

# %% [markdown]
# ## On a real picture
#
# The same functions, now on pixels. Which picture? Let a filter choose: of all test pictures with label 5, the one with
# the strongest edges.

# %% tags=["nbval-ignore-output"]
from helpers import datasets

data = datasets.cifar10(part="test")
print(data)

# %%
pictures = data.test_images[data.test_labels == 5] / 255
strength = core.edge_strength(pictures.mean(-1)).mean((1, 2))
picture = pictures[strength.argmax()]
name = f"{data.name}, label {data.class_names[5]}"
figures.filtered_picture(picture, name)

# %% [markdown]
# - **Blur** is a 3 × 3 mean. See the dark rim: there the window averages in the zeros of the padding.
# - **Sharpen** takes a pixel five times and subtracts its four direct neighbours. The weights add up to 1, so flat regions
#   keep their brightness. (The rim turns white: there one subtracts the zeros of the padding.)
# - **Edges**: Sobel's weights add up to 0, so flat regions vanish. Orange means brighter to the right or below, blue the
#   opposite; the length of both answers is the strength of the edge.
# - **Pooling**: the mean keeps the tone of a block, the maximum only its brightest cell.
#
# Nobody draws the filters of the network of notebook [06](06_pytorch_cnn_on_cifar10.ipynb): the first are computed from
# the images, all others it finds by gradient descent.
#
# ### Why blur before you throw pixels away

# %%
figures.subsampling(picture, name)

# %% [markdown]
# The stripes get finer from left to right. Keep every fourth pixel, and broad stripes appear that the original does not
# have: **aliasing**. Blur first, and what is too fine to be shown fades to an almost even grey (not quite: a 4 × 4 mean is
# a rough blur). Average pooling brings its blur along. A convolution with a large stride blurs only if it has learned to,
# and max pooling never does; their output may change a lot when the picture moves by one pixel.

# %% [markdown]
# ## What it says, honestly
#
# - Zero padding invents data. Of the 36 cells of the padded map 20 are made up, and 12 of the 16 outputs of 4a have seen
#   some of them.
# - Pooling forgets. The block with mean 3.5 holds 18 and −12.5, and nobody downstream can tell.
# - Only *average* pooling is a convolution. Max pooling is not linear: the maximum of a sum can be smaller than the sum of
#   the maxima, so no filter reproduces it.
# - Many newer networks pool little, or let a convolution with stride 2 learn what to keep.
#
# ## Recap
#
# 1. Size $= (n + 2p - k)/s + 1$, and it has to be whole. 4a: padding 1.
# 2. Deep learning's convolution is cross-correlation. The turned kernel changes all sixteen numbers.
# 3. 4b: no, because $s$ would be 4/3. At stride 1 a 2×2 window keeps the size with padding on one side only.
# 4. 4c: 17.75, 16.75, 2, 3.5. 4d: four weights of ¼, stride 2, padding 0; depthwise for many channels.
# 5. A convolution is a matrix with few weights, many zeros and parallel bands.
#
# **Next:** [05 · A numpy MLP on MNIST](05_numpy_mlp_on_mnist.ipynb). **Sources:** Dumoulin and Visin,
# [*A guide to convolution arithmetic for deep learning*](https://arxiv.org/abs/1603.07285) (2016); Springenberg and
# others, [*Striving for Simplicity*](https://arxiv.org/abs/1412.6806) (2014), on strides in place of pooling; Zhang,
# [*Making Convolutional Networks Shift-Invariant Again*](https://arxiv.org/abs/1904.11486) (2019), on aliasing.
