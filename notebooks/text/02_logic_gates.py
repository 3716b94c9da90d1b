# %% [markdown]
# # 2 · Logic gates as the smallest MLPs
#
# *Five of the seven gates are one neuron each. You will prove that the other two need a hidden layer, and that two
# neurons in it are enough.*
#
# **Minutes** 45 · **Points** 12 · **Needs** nothing but NumPy and SciPy ·
# [← 01](01_gelu_gradient_descent.ipynb) · [start](00_start_here.ipynb) · [03 →](03_backpropagation.ipynb)

# %% [markdown]
# ## The question
#
# A logic gate takes inputs $A$ and $B$, each 0 or 1, and answers 0 or 1. So it is a classifier of two features, and a
# neural network can be one. In row vectors, as everywhere in this workbook, a layer computes $z = xW + b$; hidden layers
# pass $z$ through the sigmoid $\sigma(z) = 1/(1+e^{-z})$.
#
# | part | gate | asked for |
# |---|---|---|
# | AND [3], OR [3] | 1 if both inputs are 1; if at least one is | the smallest MLP, with its weights |
# | XOR [3], XNOR [3] | 1 if the inputs differ; if they are equal | the same |
#
# *Smallest* means fewest layers, then fewest neurons. Inputs compute nothing and are not counted. A layer of an MLP
# sees only the layer before it: no connection skips a layer.
#
# **As printed / as we read it.**
#
# 1. The handout says class 0 if the output is below 0, class 1 otherwise, with the sigmoid as activation. But a sigmoid
#    is never below 0: taken literally, every input would be class 1. So the threshold belongs to the output's $z$, before
#    the sigmoid: **class 1 if and only if $z \ge 0$**, which is the same as $\sigma(z) \ge \tfrac12$.
# 2. A tie, $z = 0$, is class 1. Bias ranges therefore include one end and not the other.
# 3. The handout's example, NOT, is printed with bias $-0.5$. That comes first, below.

# %%
import numpy as np

from helpers.answers import check, hint
from helpers.core import gates
from helpers.explore import gates as explore
from helpers.figures import gates as figures
from helpers.style import Table

# %% [markdown]
# ## See it
#
# Every row of a truth table is a corner of a square. Where would you lay one straight cut so that all ones are on one
# side? Two of the seven squares will resist.

# %%
figures.corner_gallery()

# %% [markdown]
# ## Warm-up — NOT, as printed
#
# The example is one neuron, $z = -A + b$ with $b = -0.5$. Which class does it give for $A = 0$, and which for $A = 1$?
#
# ### Your turn
#
# Write a list of two numbers, the class at $A = 0$ first.

# %%
classes = ...

# %%
check("2 printed", classes)

# %% [markdown]
# ### Worked

# %%
A = np.array([0, 1])
columns = {"A": A, "wanted": gates.truth_of("NOT")}
for bias in (-0.5, 0.5):
    z = -A + bias
    columns |= {f"z, bias {bias:+}": z, f"class, bias {bias:+}": (z >= 0).astype(int)}
Table.columns(columns, ".1f")

# %% [markdown]
# As printed, NOT is class 0 whatever comes in. What does it need? At $A = 0$ only the bias is left, and class 1 is
# wanted: $b \ge 0$. At $A = 1$ class 0 is wanted: $b - 1 < 0$. So $0 \le b < 1$, and the middle, $b = +0.5$, is surely
# what was meant. How far $z$ is from changing the class of the closest row is called the **margin**; here it is $0.5$.

# %% [markdown]
# ## Part AND, OR — one neuron each [3 + 3 points]
#
# AND and OR treat both inputs alike, so give both the weight 1. Then $z = s + b$ with $s = A + B$, which is 0, 1 or 2,
# and only the bias is left to choose.
#
# ### Your turn
#
# Your weights need not be ours: the check runs your neuron on all four rows. Replace each `...` by a number.

# %%
and_w1, and_w2, and_b = ..., ..., ...
or_w1, or_w2, or_b = ..., ..., ...

# %%
check("2 AND", and_w1, and_w2, and_b)

# %%
check("2 OR", or_w1, or_w2, or_b)

# %% [markdown]
# <details><summary>Stuck? Hints, one at a time</summary>
#
# <details><summary>First hint</summary>At (0, 0) only the bias is left. Which sign must it have?</details>
# <details><summary>Second hint</summary>AND must tell s = 1 from s = 2. OR must tell s = 0 from s = 1.</details>
# <details><summary>Third hint</summary>Put the change of sign half-way between the two values.</details>
#
# In a live notebook, `hint("2 AND")` gives more of them. For the three gates that come for the same price, try
# `check("2 NAND", w1, w2, b)`, `"2 NOR"` and `check("2 NOT", w, b)`.
# </details>
#
# ### Worked
#
# - AND is 0 at $s = 1$ and 1 at $s = 2$: $\;1 + b < 0 \le 2 + b$, so $-2 \le b < -1$.
# - OR is 0 at $s = 0$ and 1 at $s = 1$: $\;b < 0 \le 1 + b$, so $-1 \le b < 0$.
# - The middles, $-1.5$ and $-0.5$, leave the largest margin. NAND and NOR are their opposites: turn every sign.

# %%
A, B = gates.corners().T.astype(int)
z = {"AND": A + B - 1.5, "OR": A + B - 0.5, "NAND": 1.5 - A - B, "NOR": 0.5 - A - B}
print("margins:", {name: gates.margin(gates.smallest_network(name), name) for name in z})
Table.columns({"A": A, "B": B, **z}, ".1f")

# %%
figures.gate_cards("AND", "OR")

# %% [markdown]
# The line $z = 0$ passes at distance $\tfrac12 / \sqrt2 \approx 0.354$ from the nearest corners, and no line stays
# farther away. Could anything be smaller? Fewer than one neuron is no network. Not even the bias can go: without it $z
# = 0$ at $(0, 0)$, which is class 1, and both gates want class 0 there. Nor can a weight: the neuron would not see that
# input, and both gates depend on both. **Three numbers are the minimum.**
#
# The other three gates of Fig. 2, solid edges positive and dashed ones negative:

# %%
figures.gate_cards("NAND", "NOR", "NOT")

# %% [markdown]
# ## Part XOR, XNOR — a hidden layer [3 + 3 points]
#
# ### No single neuron can
#
# Suppose $z = w_1 A + w_2 B + b$ computed XOR. Its four rows would demand
#
# $$b < 0, \qquad w_2 + b \ge 0, \qquad w_1 + b \ge 0, \qquad w_1 + w_2 + b < 0.$$
#
# Add the two in the middle: $w_1 + w_2 + 2b \ge 0$. Add the outer two: $w_1 + w_2 + 2b < 0$. Both cannot hold. For XNOR
# all four are turned round, and so is the contradiction.
#
# A linear program finds the same without being told where to look. Write each row as $t\,(A, B, 1)$ with $t = +1$ for
# class 1 and $-1$ for class 0. A neuron exists only if all four rows have a positive product with $(w_1, w_2, b)$;
# where one is zero, a slightly larger bias makes it positive. Weights $\lambda \ge 0$, not all zero, for which the rows
# *cancel* prove that none does, and where none does there are such weights (Farkas' lemma, here in Gordan's form).
# For XOR four equal ones do it, and for XNOR too.

# %%
proof, signed = gates.separate("XOR"), gates.signed_rows("XOR")
print("one line separates XOR:", proof.separable)
print(f"largest entry of the sum of λ · row: {np.abs(proof.certificate @ signed).max():.2f}")
columns = dict(zip(("t·A", "t·B", "t"), signed.T, strict=True))
Table.columns({"A": A, "B": B, **columns, "λ": proof.certificate}, ".2f")

# %%
figures.crossing_diagonals()

# %% [markdown]
# The left panel says it in geometry: a line with both ones on one side has their midpoint there too. The zeros have the
# same midpoint.
#
# ### One hidden neuron cannot either, at any depth
#
# With one neuron in every layer, all that is known of the input is $r = w_1 A + w_2 B$. The sigmoid only rises, so
# whatever follows rises, falls or stays constant with $r$ (right panel). Then $z \ge 0$ is again $r \ge r_0$ or $r \le
# r_0$, or holds always or never: one line at most, no more than a single neuron. One can even compute that neuron, by
# carrying $z \ge 0$ back through each sigmoid:

# %%
layers = ([[3], [-2]], [0.5]), ([[4]], [-2]), ([[-5]], [3])  # three times (W, b)
deep = gates.GateNetwork(layers)
single = gates.collapse(deep)
points = np.random.default_rng(0).uniform(-2, 3, size=(100_000, 2))
print("widths", deep.sizes, "collapse to", single.sizes)
print("points classified alike:", np.sum(deep.classify(points) == single.classify(points)))

# %% [markdown]
# ### Your turn
#
# So two neurons must stand side by side. `W1` is 2×2 with one column a hidden neuron, `W2` has two entries. Remember that
# the sigmoid is soft: a hidden neuron with small weights is never near 0 or 1.

# %%
W1, b1 = ..., ...
W2, b2 = ..., ...

# %%
check("2 XOR", W1, b1, W2, b2)

# %%
W1_xnor, b1_xnor, W2_xnor, b2_xnor = ..., ..., ..., ...
check("2 XNOR", W1_xnor, b1_xnor, W2_xnor, b2_xnor)

# %% [markdown]
# <details><summary>Stuck? Hints, one at a time</summary>
#
# <details><summary>First hint</summary>Two parallel lines cut out a strip. Which two gates have these lines?</details>
# <details><summary>Second hint</summary>XOR is OR, but not AND; XNOR is the rest. Which signs does z give
# them?</details>
# <details><summary>Third hint</summary>Give OR and AND the weight 1 and a bias half-way, make all numbers four times as
# large, then look at h₁ − h₂ in the three cases s = 0, 1, 2.</details>
# </details>
#
# ### Worked
#
# Let $h_1$ be OR and $h_2$ be AND. XOR is the first without the second: $h_1 - h_2$ is large at $s = 1$ only. Our OR and
# AND from above give $0.195,\ 0.245,\ 0.195$ at $s = 0, 1, 2$, so that the threshold $\tfrac12$ of a textbook with hard
# steps would fail in two rows. Four times the weights give $0.117,\ 0.762,\ 0.117$. Doubled and with bias $-1$ that is

# %%
h1 = gates.sigmoid(4 * A + 4 * B - 2)  # a soft OR
h2 = gates.sigmoid(4 * A + 4 * B - 6)  # a soft AND
xor = 2 * h1 - 2 * h2 - 1
columns = {"h₁": h1, "h₂": h2, "z of XOR": xor, "z of XNOR": -xor}
Table.columns({"A": A, "B": B, **columns}, ".4f")

# %% [markdown]
# Every row has the sign it needs; the margin is 0.5232. XNOR is the same network with the output's signs turned.

# %%
figures.hidden_cards("XOR", "XNOR")

# %% [markdown]
# The right column is the point of hidden layers. The hidden layer folds the square: $(0, 1)$ and $(1, 0)$ land on one
# spot. All points of the plane land on the dotted path, for only $A + B$
# counts; it has a bend there, and now a line is enough.
#
# ### Nothing smaller, however you count
#
# - *Fewest layers:* one layer is one neuron, which fails. *Fewest neurons:* one or two neurons, and any chain, have width
#   one, which fails. **2-2-1 is the smallest**, with 9 weights and biases.
# - *Fewest numbers:* without an output edge only one hidden neuron is left. And suppose that the edge from $B$ to $h_2$ were
#   missing: then $B$ acts through $h_1$ alone and pushes $z$ the same way whatever $A$ is, but XOR wants up at $A = 0$ and
#   down at $A = 1$. So all six edges are needed. The three biases are not: $z = 4\,\sigma(4s) - 5\,\sigma(s)$ does it.
# - *Not an MLP:* with connections that skip the hidden layer one hidden neuron would do,
#   $z = s - \tfrac12 - 3\,\sigma(4s - 6)$.

# %%
s = np.array([0, 1, 2])
without_biases = 4 * gates.sigmoid(4 * s) - 5 * gates.sigmoid(s)
skipping = s - 0.5 - 3 * gates.sigmoid(4 * s - 6)
Table.columns({"s": s, "z without biases": without_biases, "z with skips": skipping}, ".3f")

# %% [markdown]
# ### How soft may the hidden neurons be?
#
# Let the hidden weights be $k$. How much larger is $h_1 - h_2$ at $s = 1$ than at its neighbours? At $s=1$ it is
# $\sigma(\tfrac{k}{2})-\sigma(-\tfrac{k}{2})=2\sigma(\tfrac{k}{2})-1$; at $s=0$, and at $s=2$, it is
# $\sigma(-\tfrac{k}{2})-\sigma(-\tfrac{3k}{2})=\sigma(\tfrac{3k}{2})-\sigma(\tfrac{k}{2})$. Put $u=e^{-k/2}$: with
# $\sigma(\tfrac{k}{2})=1/(1+u)$, $\sigma(\tfrac{3k}{2})=1/(1+u^3)$ and $1+u^3=(1+u)(1-u+u^2)$ the difference is
#
# $$3\,\sigma(\tfrac{k}{2})-\sigma(\tfrac{3k}{2})-1=\frac{(1-u)^3}{1+u^3}>0
# \quad\text{for every } k > 0.$$
#
# So XOR works with hidden neurons as soft as you like. With output weights $1, -1$ and the best bias the margin is half
# of this, 0.322 at $k = 4$. (The network above has output weights twice as large and the round bias $-1$; hence its
# 0.5232.) For small $k$ we have $1 - u \approx \tfrac k2$, and the margin is about $k^3/32$: as $k \to 0$ the sigmoid becomes a straight line, and straight lines fold
# nothing.

# %%
figures.softness()

# %% [markdown]
# ### Which gates are hard?
#
# Two inputs have $2^4 = 16$ functions. The linear program decides each; the lines are the ones it found.

# %%
figures.sixteen_functions()

# %% [markdown]
# ## Explore
#
# ### One neuron
#
# **Predict first.** Leave both weights at 1 and push the bias from $-2.5$ up to $0.5$. Which gates appear, in which order,
# and at which biases does one turn into the next?

# %%
explore.neuron(gate="AND", w1=1.0, w2=1.0, b=-2.5)

# %% [markdown]
# <details><summary>What you may have seen</summary>
#
# Always 0, then AND from −2, OR from −1, always 1 from 0. At the very value the tie already counts as class 1. Now choose
# XOR and hunt: three rows of four is the best that any line does.
# </details>
#
# ### Two neurons and their plane
#
# **Predict first.** Here are the 2-2-1 network and its hidden plane. Lower the sharpness $k$ from 4 to 1: the lines
# $h_1 = \tfrac12$ and $h_2 = \tfrac12$ stay where they are, yet two rows fail. Can the output's bias alone repair that? In
# which range?

# %%
explore.hidden_plane(gate="XOR", sharpness=4.0)

# %% [markdown]
# <details><summary>What you may have seen</summary>
#
# Yes: at k = 1 the three corners are nearly on a line in the hidden plane, but only nearly. Any output bias from −0.489 to
# just below −0.390 works; at −0.45 the margin is 0.04.
# </details>
#
# ## Cross-check
#
# The proofs above need no computer. As an **illustration, not a proof**, we draw 100,000 networks of each shape with all
# parameters drawn evenly from $[-8, 8]$ and ask which of the 16 functions they compute. For 2-1-1 we also try *every*
# choice of whole numbers from $-3$ to $3$.

# %%
grid = gates.functions_found((2, 1, 1), gates.parameter_grid(5, range(-3, 4)))
print(f"2-1-1, all {sum(grid.values())} choices: {len(grid)} functions;",
      "XOR among them:", gates.TRUTH["XOR"] in grid)  # fmt: skip
shapes = ((2, 1), (2, 1, 1), (2, 1, 1, 1), (2, 2, 1), (2, 1, 2, 1))
found = [gates.random_search(sizes, networks=100_000) for sizes in shapes]
columns = {"parameters": map(gates.parameter_count, shapes), "functions": map(len, found)}
columns |= {name: [f.get(gates.TRUTH[name], 0) for f in found] for name in ("XOR", "XNOR")}
Table.columns({"widths": ["-".join(map(str, sizes)) for sizes in shapes], **columns})

# %% [markdown]
# Width one finds the same 14 functions as a single neuron, at any depth. Two hidden neurons find all 16. The last line is
# a warning about words: *one narrow layer* is no obstacle in itself, since $A + B$ is all that XOR needs; what follows it
# must be wider than one. That network has four neurons and ten parameters, so it is not the smallest.
#
# ## What it says, honestly
#
# - These weights were designed, not learned. Gradient descent on a 2-2-1 network can be slow or stall on XOR; that so few
#   of the random networks compute it shows how small the target is.
# - A margin in units of $z$ grows when all output weights grow. Compare margins only at the same size of weights.
# - Two sigmoids suffice because the output threshold sharpens what they leave soft. Asking for outputs near 0 and 1
#   would need larger weights.
#
# ## Recap
#
# 1. Class 1 if and only if $z \ge 0$, before the sigmoid. NOT needs a bias in $[0, 1)$; the printed $-0.5$ fails.
# 2. AND: weights 1, 1, bias $-1.5$. OR: 1, 1, $-0.5$. Nothing smaller exists.
# 3. XOR: a hidden OR (4, 4, bias $-2$) and AND (4, 4, bias $-6$), then 2, $-2$, bias $-1$; XNOR: $-2$, 2, bias 1. They
#    alone of the 16 functions need a hidden layer.
# 4. Width one, however deep, is one line; every one of the six edges of 2-2-1 is needed, and no bias is.
# 5. The fold works at any softness, with a margin that shrinks like $k^3$.
#
# **Next:** [03 · Backpropagation](03_backpropagation.ipynb). **Sources:** Minsky and Papert, *Perceptrons* (1969); Rumelhart,
# Hinton and Williams, *Learning internal representations by error propagation* (1986), which has XOR with one hidden neuron
# and skips; [`scipy.optimize.linprog`](https://docs.scipy.org/doc/scipy/reference/generated/scipy.optimize.linprog.html).
