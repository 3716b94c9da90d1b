# %% [markdown]
# # 3 · Backpropagation through a two-layer network
#
# *Every gradient of a small network, one line and one reason at a time<!-- worked -->, and three independent ways to find
# out whether you got it right<!-- /worked -->.*
#
# **Minutes** 50 · **Points** 10 · **Needs** NumPy<!-- worked -->; PyTorch and SymPy for the cross-checks<!-- /worked --> ·
# [← 02](02_logic_gates.ipynb) · [start](00_start_here.ipynb) · [04 →](04_convolution_and_pooling.ipynb)

# %% [markdown]
# ## The question
#
# A network of two layers, written with **row** vectors:
#
# $$f_1 = xW_1 + b_1, \quad a = \sigma(f_1), \quad f_2 = aW_2 + b_2, \quad o = S(f_2),$$
#
# $$E = -\sum_{k=1}^{K} y_k \log o_k .$$
#
# $S$ is softmax, $o_k = e^{f_{2,k}} / \sum_j e^{f_{2,j}}$, and $\sigma' = \sigma(1-\sigma)$. The label $y$ is 1 at the right
# class and 0 elsewhere.
#
# | quantity | $x$ | $W_1$ | $b_1$ | $f_1$, $a$ | $W_2$ | $b_2$ | $f_2$, $o$, $y$ | $E$ |
# |---|---|---|---|---|---|---|---|---|
# | shape | 1×N | N×M | 1×M | 1×M | M×K | 1×K | 1×K | a number |
#
# | part | asked for |
# |---|---|
# | 3a [5] | $\partial E/\partial f_2$, simplified in $o$ and $y$ |
# | 3b [5] | from it, $\partial E/\partial x$ |
#
# **As printed / as we read it.** The hidden vector is $h$ in Fig. 4 and $a$ in the formulas; we write $a$. The simple form
# that 3a hopes for needs the entries of $y$ to add up to 1. A one-hot label does that. Derive the general form first:
# it shows *where* the 1 is used.

# %%
import numpy as np

from helpers.answers import check, hint
from helpers.core import backprop
from helpers.explore import backprop as explore
from helpers.figures import backprop as figures
from helpers.style import Table

# %% [markdown]
# ## See it
#
# Fig. 4 again, with shapes. Values run from left to right; gradients will run from right to left.

# %%
figures.network()

# %% [markdown]
# One rule of bookkeeping catches most slips: **a gradient has the shape of the thing it belongs to.** $E$ is one number,
# so $\partial E/\partial x$ holds one slope for each entry of $x$ and is 1×N. A product that cannot give that shape is
# wrong before any number is put in.
#
# ### A network small enough for paper
#
# All letters get numbers now, with N = 3, M = 4, K = 3: $x = (1, -1, 2)$, $b_1 = (0, -\tfrac12, 0, 0)$,
# $b_2 = (-1, -1, 1)$, the label $y = (0, 1, 0)$, and
#
# $$W_1 = \begin{pmatrix} -1 & 1 & -\tfrac12 & -1\\ 1 & 1 & -\tfrac12 & -\tfrac12\\ \tfrac12 & -\tfrac12 & \tfrac12 & 1
# \end{pmatrix},\quad
# W_2 = \begin{pmatrix} -2 & 2 & -1\\ 1 & 2 & 0\\ 2 & -1 & -2\\ -2 & -1 & 0\end{pmatrix}.$$
#
# The first entry of $f_1$, by head: $1\cdot(-1) + (-1)\cdot 1 + 2\cdot\tfrac12 + 0 = -1$.

# %%
net, x, y = backprop.worked_example()
values = net.forward(x, y)
hidden = {"hidden neuron": range(1, 5), "f₁ = xW₁ + b₁": values.f1[0], "a = σ(f₁)": values.a[0]}
Table.columns(hidden, ".4f")

# %%
print(f"E = -log o₂ = {values.E:.4f}")
output = {"f₂ = aW₂ + b₂": values.f2[0], "o = S(f₂)": values.o[0], "y": y[0]}
Table.columns({"class": range(1, 4), **output}, ".4f")

# %% [markdown]
# The network gives 54 % to class 3 and 22 % to class 2, the right one. Backpropagation asks who is to blame.

# %% [markdown]
# ## Part 3a — the gradient at the logits [5 points]
#
# $E$ depends on $f_2$ by way of $o$. The trap: **every** $o_k$ depends on **every** entry of $f_2$, because they share a
# denominator. Softmax has a whole K×K matrix of derivatives, its Jacobian, not just a diagonal.
#
# ### Your turn
#
# Derive it on paper, then write it as a function of two arrays of shape (1, K). It is judged on networks it has not seen.


# %%
def dE_df2(o, y):
    return ...


# %%
check("3a", dE_df2)

# %% [markdown]
# <details><summary>Stuck? Hints, one at a time</summary>
#
# <details><summary>First hint</summary>E depends on o through the logarithms, and every oₖ depends on every entry of f₂.
# Two derivatives, then one sum.</details>
# <details><summary>Second hint</summary>∂E/∂oₖ = −yₖ/oₖ. For softmax differentiate log oₖ = f₂ₖ − log Σ exp f₂ᵢ; that is
# easier than the quotient rule.</details>
# <details><summary>Third hint</summary>Multiply the two, sum over k, and watch oₖ cancel.</details>
#
# In a live notebook, `hint("3a")` gives the next one at each call.
# </details>
#
# <details><summary>Full answer</summary>
#
# `return o - y` for one-hot labels; `return o * y.sum() - y` for any.
# </details>
#
# ### Worked
#
# Write $f$ for $f_2$, and $[k=j]$ for 1 if $k=j$ and 0 otherwise.
#
# | line | because |
# |---|---|
# | $\dfrac{\partial E}{\partial o_k} = -\dfrac{y_k}{o_k}$ | only the $k$-th term of $E$ holds $o_k$, and $(\log u)' = 1/u$ |
# | $\log o_k = f_k - \log \sum_i e^{f_i}$ | the logarithm of a quotient |
# | $\dfrac{\partial \log o_k}{\partial f_j} = [k=j] - o_j$ | $\sum_i e^{f_i}$ has derivative $e^{f_j}$, and the quotient is $o_j$ |
# | $\dfrac{\partial o_k}{\partial f_j} = o_k\,\bigl([k=j] - o_j\bigr)$ | $\partial o_k = o_k\,\partial\log o_k$: the softmax Jacobian |
# | $\dfrac{\partial E}{\partial f_j} = \sum_k \Bigl(-\dfrac{y_k}{o_k}\Bigr)\, o_k\,\bigl([k=j]-o_j\bigr)$ | chain rule: $f_j$ reaches $E$ through every $o_k$ |
# | $\phantom{\dfrac{\partial E}{\partial f_j}} = -\sum_k y_k\,\bigl([k=j]-o_j\bigr)$ | $o_k$ cancels |
# | $\phantom{\dfrac{\partial E}{\partial f_j}} = o_j\sum_k y_k - y_j$ | in $\sum_k y_k[k=j]$ only $k=j$ survives |
# | $\phantom{\dfrac{\partial E}{\partial f_j}} = o_j - y_j$ | a one-hot label adds up to 1 |
#
# As rows, with shapes:
#
# $$\underbrace{\frac{\partial E}{\partial f_2}}_{1\times K} =
# \underbrace{\frac{\partial E}{\partial o}}_{1\times K}\;\underbrace{\frac{\partial o}{\partial f_2}}_{K\times K} =
# \underbrace{o}_{1\times K} - \underbrace{y}_{1\times K}.$$
#
# The long way with all K² derivatives, and the short way, in numbers:

# %%
jacobian = backprop.softmax_jacobian(values.o)
long_way = (-y / values.o) @ jacobian  # (1×3)(3×3)
short_way = values.o - y  # 1×3
matrix = {f"Jacobian, column {j + 1}": jacobian[:, j] for j in range(3)}
both = {"long way": long_way[0], "o − y": short_way[0]}
Table.columns({"class": range(1, 4), **matrix, **both}, ".4f")

# %% [markdown]
# Descent steps against the gradient, so turn the signs of the last column and read it as a wish list. The logit of the
# right class should rise; the others should fall, each by the probability that it wrongly took. The three
# add up to zero, for one number added to all logits changes nothing.
#
# And a label that does not add up to 1? Take $y = (0.2, 0.9, 0.4)$:

# %%
soft = np.array([[0.2, 0.9, 0.4]])
general = {"o − y": (values.o - soft)[0], "o Σy − y": (values.o * soft.sum() - soft)[0]}
numerical = backprop.numerical_gradient(net, net.forward(x, soft), "f2")
general["central difference"] = numerical[0]
Table.columns({"class": range(1, 4), **general})

# %% [markdown]
# Only the general form agrees with the difference quotient. Label smoothing and mixed labels keep the sum at 1, so they
# are safe; class weights do not, and there $o - y$ is wrong.

# %% [markdown]
# ## Part 3b — back to the input [5 points]
#
# Three links lie between $f_2$ and $x$: $W_2$, the sigmoid, $W_1$. Each turns the gradient at its output into the gradient
# at its input.
#
# ### Your turn
#
# Start from your 3a. The arguments are `o`, `y` (1×K), `a` (1×M), `W1` (N×M) and `W2` (M×K). You need neither $x$ nor
# the biases. In NumPy `@` is the matrix product and `*` multiplies entry by entry.


# %%
def dE_dx(o, y, a, W1, W2):
    return ...


# %%
check("3b", dE_dx)

# %% [markdown]
# <details><summary>Stuck? Hints, one at a time</summary>
#
# <details><summary>First hint</summary>Walk backwards: f₂, then a, then f₁, then x. Write the shape under each.</details>
# <details><summary>Second hint</summary>You have 1×K and want 1×M. Which arrangement of W₂ fits?</details>
# <details><summary>Third hint</summary>The sigmoid acts on each entry alone, so a (1 − a) multiplies entry by entry.</details>
# </details>
#
# <details><summary>Full answer</summary>
#
# `return ((o - y) @ W2.T * a * (1 - a)) @ W1.T`
# </details>
#
# ### Worked
#
# **Through $W_2$.** Since $f_{2,k} = \sum_m a_m W_{2,mk} + b_{2,k}$, the derivative of $f_{2,k}$ by $a_m$ is $W_{2,mk}$.
# Neuron $m$ feeds every class, so one sums over $k$, and a sum over the *second* index of $W_2$ is a product with the
# transpose:
#
# $$\underbrace{\frac{\partial E}{\partial a}}_{1\times M} =
# \underbrace{\frac{\partial E}{\partial f_2}}_{1\times K}\;\underbrace{W_2^{\mathsf T}}_{K\times M}.$$
#
# **Through σ.** $a_m$ depends on $f_{1,m}$ alone, so the Jacobian is diagonal and multiplies entry by entry ($\odot$). Its
# entries are $\sigma'(f_1) = a(1-a)$, made from a value that the forward pass has already stored:
#
# $$\underbrace{\frac{\partial E}{\partial f_1}}_{1\times M} =
# \underbrace{\frac{\partial E}{\partial a}}_{1\times M} \odot \underbrace{a \odot (1-a)}_{1\times M}.$$
#
# **Through $W_1$.** The same argument as for $W_2$:
#
# $$\underbrace{\frac{\partial E}{\partial x}}_{1\times N} =
# \underbrace{\frac{\partial E}{\partial f_1}}_{1\times M}\;\underbrace{W_1^{\mathsf T}}_{M\times N}.$$
#
# **Together:**
#
# $$\boxed{\;\frac{\partial E}{\partial x} = \Bigl[\underbrace{(o-y)}_{1\times K}\,\underbrace{W_2^{\mathsf T}}_{K\times M}
# \odot \underbrace{a\odot(1-a)}_{1\times M}\Bigr]\,\underbrace{W_1^{\mathsf T}}_{M\times N}\;}$$

# %%
a = values.a
g_f2 = values.o - y  # 1×3
g_a = g_f2 @ net.W2.T  # (1×3)(3×4) = 1×4
g_f1 = g_a * a * (1 - a)  # 1×4, entry by entry
g_x = g_f1 @ net.W1.T  # (1×4)(4×3) = 1×3
links = {"∂E/∂a": g_a[0], "a (1 − a)": (a * (1 - a))[0], "∂E/∂f₁": g_f1[0]}
Table.columns({"hidden neuron": range(1, 5), **links}, ".4f")

# %% [markdown]
# By hand: $\partial E/\partial a_1 = 0.2434\cdot(-2) + (-0.7836)\cdot 2 + 0.5402\cdot(-1) \approx -2.594$. The sigmoid
# then lets through only 20 % of it. The whole pass in one picture, the rows drawn upright like the neurons:

# %%
figures.computation_graph(net, x, y)

# %% [markdown]
# ### The next lines: what training needs
#
# Nobody trains $x$; one trains the weights, and their gradients come almost free. $W_{1,nm}$ touches $E$ only through
# $f_{1,m}$, with factor $x_n$. A bias adds with factor 1. Hence
#
# $$\underbrace{\frac{\partial E}{\partial W_2}}_{M\times K} =
# \underbrace{a^{\mathsf T}}_{M\times 1}\,\underbrace{\frac{\partial E}{\partial f_2}}_{1\times K},\quad
# \frac{\partial E}{\partial b_2} = \underbrace{\frac{\partial E}{\partial f_2}}_{1\times K},\quad
# \underbrace{\frac{\partial E}{\partial W_1}}_{N\times M} =
# \underbrace{x^{\mathsf T}}_{N\times 1}\,\underbrace{\frac{\partial E}{\partial f_1}}_{1\times M},\quad
# \frac{\partial E}{\partial b_1} = \underbrace{\frac{\partial E}{\partial f_1}}_{1\times M}.$$

# %%
g_W2, g_b2 = a.T @ g_f2, g_f2  # (4×1)(1×3) = 4×3, and 1×3
columns = {f"column {k + 1}": g_W2[:, k] for k in range(3)}
Table.columns({"row of ∂E/∂W₂": range(1, 5), **columns}, ".4f")

# %%
g_W1, g_b1 = x.T @ g_f1, g_f1  # (3×1)(1×4) = 3×4, and 1×4
columns = {f"column {m + 1}": g_W1[:, m] for m in range(4)}
Table.columns({"row of ∂E/∂W₁": range(1, 4), **columns}, ".4f")

# %% [markdown]
# ## Explore
#
# **Predict first.** Multiply $W_1$ and $b_1$ by 10. The formula for $\partial E/\partial x$ ends in $W_1^{\mathsf T}$:
# will the gradient be ten times as long? Then set that factor back to 1 and multiply $W_2$ and $b_2$ by 10 instead.
# Softmax now puts 99.95 % on class 3, so it is saturated too, if less than the sigmoids were. Does the gradient vanish
# for the label 2? And for the label 3?

# %%
explore.backpropagation(label=2, hidden=1.0, logits=1.0, step=7)

# %% [markdown]
# <details><summary>What you may have seen</summary>
#
# A factor of 10 on W₁ shrinks ∂E/∂x from 0.79 to 0.0022. It makes the last factor W₁ᵀ longer, but it also drives f₁ to ±10
# and ±15, where the sigmoid is flat: a (1 − a) falls like exp(−|f₁|), and an exponential beats a factor. This is a
# *vanishing gradient*: right or wrong, no news gets through a saturated layer.
#
# Saturated softmax is different. With label 2 the gradient grows to 9.02, because o − y tends to (0, −1, 1) and W₂ is
# large. With label 3 it falls to 0.0006. A network that is sure and wrong gets a strong signal; only one that is sure and
# right gets none. That is what the logarithm in the loss is good for.
# </details>

# %% [markdown]
# ## Cross-check
#
# Three routes to the gradient: the formula; a central difference $\bigl(E(v+h)-E(v-h)\bigr)/2h$, which knows only the
# forward pass; and PyTorch's autograd, which has a forward pass of its own and builds the backward pass by itself.

# %%
import torch  # for this cross-check only: the lesson does not use it

named = {"W1": net.W1, "b1": net.b1, "W2": net.W2, "b2": net.b2, "x": x}
leaf = {name: torch.tensor(value, requires_grad=True) for name, value in named.items()}
a1 = torch.sigmoid(leaf["x"] @ leaf["W1"] + leaf["b1"])
leaf["f2"] = a1 @ leaf["W2"] + leaf["b2"]
loss = torch.nn.functional.cross_entropy(leaf["f2"], torch.tensor(y))
found = torch.autograd.grad(loss, list(leaf.values()))
autograd = {name: gradient.numpy() for name, gradient in zip(leaf, found, strict=True)}

# %%
formula = {"f2": g_f2, "x": g_x, "W1": g_W1, "b1": g_b1, "W2": g_W2, "b2": g_b2}
central = {name: backprop.numerical_gradient(net, values, name) for name in formula}
table = {"gradient": [f"∂E/∂{name}, entry {k}" for name in ("f₂", "x") for k in (1, 2, 3)]}
routes = {"formula": formula, "central difference": central, "autograd": autograd}
table |= {route: [*found["f2"][0], *found["x"][0]] for route, found in routes.items()}
Table.columns(table)

# %% [markdown]
# And all six gradients with their 37 entries? What counts is the largest difference over the largest entry:

# %%
for route, limit in (("central difference", 1e-9), ("autograd", 1e-12)):
    errors = [backprop.relative_error(formula[g], routes[route][g]) for g in formula]
    print(f"{route:18}  {sum(e < limit for e in errors)} of {len(errors)} agree to {limit:g}")

# %% [markdown]
# Why do central differences not agree to $10^{-12}$ too? A difference quotient errs on two sides. It leaves out a term
# of order $h^2$, and it divides the rounding of $E$, about $\varepsilon = 2\cdot10^{-16}$, by $h$. The sum is smallest
# near $h = \varepsilon^{1/3}$:

# %%
figures.difference_errors(net, x, y)

# %% [markdown]
# So check with central differences and $h$ near $10^{-5}$, and expect about ten digits, not sixteen.
#
# ### For all values at once
#
# Numbers check one point, symbols check all of them. For K = 3 the derivative less $o_j\sum y - y_j$ should simplify to 0.
# The derivative less $o_1 - y_1$, divided by $o_1$, shows what the short form assumes:

# %%
import sympy  # for this cross-check only

f, t = sympy.symbols("f1:4"), sympy.symbols("y1:4")
o = [sympy.exp(f_k) / sum(map(sympy.exp, f)) for f_k in f]
E = -sum(t[k] * sympy.log(o[k]) for k in range(3))
slope = [sympy.diff(E, f_j) for f_j in f]
print("general form:", [sympy.simplify(slope[j] - (o[j] * sum(t) - t[j])) for j in range(3)])
print("short form:  ", sympy.simplify((slope[0] - (o[0] - t[0])) / o[0]))

# %% [markdown]
# ## Logits of 1000
#
# The formula of softmax is right, but must not be typed in as it stands: $e^{710}$ is beyond the largest double. Such logits
# do occur. With weights drawn from $N(0,1)$, as Programming 1 asks, two ReLU layers on 784 pixels give logits near ±1000.
#
# Adding one number to all logits changes nothing in softmax. So take out the largest, $m = \max_j f_j$, before anything is
# raised to a power, and never form $o$ to take its logarithm:
#
# $$\log o_k = f_k - \log\sum_j e^{f_j}, \qquad \log\sum_j e^{f_j} = m + \log\sum_j e^{f_j-m}.$$
#
# Every exponent is now at most 0 and one is 0, so the sum lies between 1 and K. Below, the first four rows are shifts of the
# same logits, so the answer must not move. The label is class 3.

# %%
cases, y3 = [[shift + 2, shift + 1, shift] for shift in (0, 700, 1000, -1000)], [0, 0, 1]
cases.append([0, 0, -800])
Table.columns({
    "logits": [str(f2) for f2 in cases],
    "o₁ naive": [backprop.naive_softmax(f2)[0, 0] for f2 in cases],
    "E naive": [backprop.naive_cross_entropy(f2, y3) for f2 in cases],
    "o₁ stable": [backprop.softmax(f2)[0, 0] for f2 in cases],
    "E stable": [backprop.cross_entropy(f2, y3) for f2 in cases],
}, ".4f")  # fmt: skip

# %% [markdown]
# `nan` is ∞/∞ in the third row and 0/0 in the fourth. The last row is sly: $o_1$ is fine, but $o_3$ has underflowed to 0 and
# its logarithm is $-\infty$. The gradient $o - y$ has no such trouble, while the long way through $-y/o$ would divide by
# zero. That is the practical reason to treat softmax and cross-entropy as *one* layer.
#
# ## What it says, honestly
#
# - The sigmoid's slope is at most ¼, so ten sigmoid layers pass on at most $4^{-10} \approx 10^{-6}$ of a gradient unless
#   the weights make up for it. That is one reason why deep networks use ReLU and carefully scaled initial weights.
# - A gradient check finds wrong formulas. It does not find a wrong forward pass, for it differentiates what is there.
# - We took one example. With B rows in $x$ the lines stay as they are; $x^{\mathsf T}$ and $a^{\mathsf T}$ then add over the
#   examples, and the bias gradients become column sums. Notebook [05](05_numpy_mlp_on_mnist.ipynb) does that.
#
# ## Recap
#
# 1. $\partial E/\partial f_2 = o\sum y - y$, which is $o - y$ for a one-hot label.
# 2. $\partial E/\partial x = \bigl[(o-y)\,W_2^{\mathsf T} \odot a\odot(1-a)\bigr]\,W_1^{\mathsf T}$; the transposes come from
#    summing over the other index.
# 3. A gradient has the shape of its variable; that alone catches most slips.
# 4. Saturated sigmoids stop the gradient. Saturated softmax stops it only where the network is right.
# 5. Log-sum-exp for the loss, $h \approx 10^{-5}$ for the check.
#
# **Next:** [04 · Convolution and pooling](04_convolution_and_pooling.ipynb). **Sources:** Rumelhart, Hinton and Williams,
# [*Learning representations by back-propagating errors*](https://doi.org/10.1038/323533a0) (1986); Glorot and Bengio,
# [*Understanding the difficulty of training deep feedforward neural
# networks*](https://proceedings.mlr.press/v9/glorot10a.html) (2010); Blanchard, Higham and Higham,
# [*Accurately computing the log-sum-exp and softmax functions*](https://doi.org/10.1093/imanum/draa038) (2021).
