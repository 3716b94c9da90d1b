# %% [markdown]
# # 1 · Gradient descent and momentum on GELU
#
# *Three steps by hand, and you will know why the step size matters, when a step is too large, and why momentum lags
# before it leads.*
#
# **Minutes** 40 · **Points** 12 · **Needs** NumPy and SciPy ·
# [start](00_start_here.ipynb) · [02 →](02_logic_gates.ipynb)

# %% [markdown]
# ## The question
#
# GELU is a smooth cousin of ReLU. The assignment uses its sigmoid form,
#
# $$\mathrm{GELU}(x) = x\,\sigma(1.702\,x), \qquad \sigma(z) = \frac{1}{1+e^{-z}}, \qquad
# \sigma'(z) = \sigma(z)\,\bigl(1-\sigma(z)\bigr).$$
#
# We treat it as a loss with one weight, $x$, and walk downhill.
#
# | part | start | step size $\eta$ | rule | asked for |
# |---|---|---|---|---|
# | 1a [3] | $x_0 = 0$ | 0.1 | gradient descent | $x_1, x_2, x_3$ and GELU at each |
# | 1b [3] | $x_0 = 0$ | 1 | gradient descent | the same; how does the progress differ? |
# | 1c [6] | $x_0 = -3$ | 0.1 | gradient descent, then momentum with $\beta = 0.9$ | three updates of each; how do they differ? |
#
# **As printed / as we read it.** Two things in 1c are open.
#
# 1. One edition of the handout names no step size; the corrected one says $\eta = 0.1$. We answer with 0.1<!-- worked -->
#    and show $\eta = 1$ beside it<!-- /worked -->.
# 2. Eq. 5 ends with $x_{t+1} = x_t - \eta v$ and leaves the index of $v$ out. *Reading A* steps along the old average
#    $v_t$, *reading B* along the fresh one, $v_{t+1}$. B is the sensible one: under A the first gradient is used twice.
#    You will see that they part only in the sixth decimal. Both count as right.

# %%
import numpy as np

from helpers import assignment as given
from helpers.answers import check, hint
from helpers.core import descent
from helpers.explore import descent as explore
from helpers.figures import descent as figures
from helpers.style import Table

# %% [markdown]
# ## See it
#
# Below are the functions of Fig. 1 and their derivatives. Look at the right panel: ReLU and ELU never slope downwards.
# On ELU a walk downhill runs off to the left for ever, and on ReLU it stops wherever it first steps below zero, where
# the slope is 0. Only GELU has a valley to arrive in.

# %%
figures.activations()

# %% [markdown]
# The thick line is the exact GELU, $x\,\Phi(x)$ with the normal distribution function $\Phi$. The sigmoid form follows it
# to within 0.0203 on this range. Every number below belongs to the sigmoid form.
#
# ### The one derivative we need
#
# GELU is a product, so its derivative has two terms; the second needs the chain rule, which brings out a factor 1.702:
#
# $$\mathrm{GELU}'(x) = \underbrace{\sigma(1.702x)}_{\text{first factor differentiated}} +
# \underbrace{x \cdot 1.702\,\sigma(1.702x)\bigl(1-\sigma(1.702x)\bigr)}_{\text{second factor differentiated}}$$
#
# At $x = 0$ this is $\tfrac12$: the second term vanishes and $\sigma(0) = \tfrac12$. That is the first number you need.

# %%
figures.landscape()

# %% [markdown]
# Two facts in this picture decide everything that follows. The minimum lies at $x^* \approx -0.7512$. And the slope is
# not steepest far away from it: coming from $-3$, steps first *grow*, until $x \approx -1.41$, and only then shrink.

# %% [markdown]
# ## Part 1a — three steps with η = 0.1 [3 points]
#
# Gradient descent is one line, applied three times, with a fresh gradient each time:
#
# $$x_{t+1} = x_t - \eta\,\mathrm{GELU}'(x_t).$$
#
# ### Your turn
#
# A pocket calculator is enough. Replace each `...` by a number with four decimals, then run both cells.

# %%
x1, x2, x3 = ..., ..., ...
f1, f2, f3 = ..., ..., ...  # GELU at x1, x2, x3

# %%
check("1a", x1, x2, x3, f1, f2, f3)

# %% [markdown]
# <details><summary>Stuck? Hints, one at a time</summary>
#
# <details><summary>First hint</summary>Which rule differentiates a product? What does the factor 1.702 inside σ add?</details>
# <details><summary>Second hint</summary>GELU'(0) = ½, so x₁ = 0 − 0.1 · ½.</details>
# <details><summary>Third hint</summary>For x₂ take the gradient at x₁, not at x₀ again.</details>
#
# In a live notebook, `hint("1a")` gives hints too, one at each call.
# </details>
#
# ### Worked

# %%
x, rows = given.START_NEAR, []
for step in (1, 2, 3):
    gradient = descent.gelu_gradient(x)
    x = x - given.SMALL_STEP * gradient  # the update rule
    rows.append((step, gradient, x, descent.gelu(x)))
Table(("step", "gradient before", "x after", "GELU(x)"), rows, ("d", ".6f", ".6f", ".6f"))

# %% [markdown]
# Each step is shorter than the one before, because the slope falls on the way down. After three steps the walk has
# covered 0.14 of the 0.75 that separate it from the minimum.

# %% [markdown]
# ## Part 1b — the same with η = 1 [3 points]
#
# Before you compute: ten times the step size, ten times the progress? Guess $x_3$.
#
# ### Your turn

# %%
x1, x2, x3 = ..., ..., ...
f1, f2, f3 = ..., ..., ...  # GELU at x1, x2, x3

# %%
check("1b", x1, x2, x3, f1, f2, f3)

# %% [markdown]
# <details><summary>Stuck? A hint</summary>Nothing changes but η: x₁ = 0 − 1 · ½. Take the next gradient at −½.</details>
#
# ### Worked

# %%
small = descent.descend("gradient descent", x0=0, learning_rate=0.1, steps=3)
large = descent.descend("gradient descent", x0=0, learning_rate=1.0, steps=3)
Table.columns({"step": range(4), "x, η = 0.1": small.x, "GELU(x), η = 0.1": small.value,
               "x, η = 1": large.x, "GELU(x), η = 1": large.value})  # fmt: skip

# %%
figures.paths(small, large)

# %% [markdown]
# With $\eta = 1$ the first step alone goes farther than all three small ones, and after three steps the loss is within
# 0.0011 of its minimum. It is not ten times the progress: a longer step soon reaches flatter ground, where gradients are
# smaller.
#
# Is $\eta = 1$ too large, then? Not here. Near the minimum GELU is almost a parabola with curvature
# $\mathrm{GELU}''(x^*)$, and on a parabola descent multiplies the error by $1-\eta\,\mathrm{GELU}''(x^*)$ at each step.
# It converges while that factor is between $-1$ and $1$, that is for $\eta < 2/\mathrm{GELU}''(x^*)$.

# %%
curvature = descent.gelu_curvature(descent.minimum())
print(f"curvature at the minimum {curvature:.4f}")
print(f"stable for step sizes below {descent.largest_stable_step():.3f}")
steps = (0.1, 1.0, 1 / curvature, 5.0, 6.0)
Table.columns({"η": steps, "error kept a step": [1 - eta * curvature for eta in steps]}, ".4f")

# %% [markdown]
# Close to the minimum $\eta = 0.1$ keeps 96 % of the error at every step, $\eta = 1$ keeps 63 %, and $\eta \approx 2.7$
# would keep almost none. At $\eta = 6$ the error grows. "Too large" is
# a statement about $\eta$ times the curvature: it must stay below 2.

# %% [markdown]
# ## Part 1c — momentum from −3 [6 points]
#
# Eq. 5 replaces the gradient by an exponentially weighted average of all gradients so far:
#
# $$v_0 = \mathrm{GELU}'(x_0), \qquad v_{t+1} = \beta v_t + (1-\beta)\,\mathrm{GELU}'(x_t), \qquad
# x_{t+1} = x_t - \eta\, v_{t+1}.$$
#
# ### Your turn
#
# First three updates of plain gradient descent from $-3$, then three with $\beta = 0.9$. Give at least four decimals; six
# show the difference. (3 points each.)

# %%
gd_x1, gd_x2, gd_x3 = ..., ..., ...
gd_f1, gd_f2, gd_f3 = ..., ..., ...

# %%
check("1c GD", gd_x1, gd_x2, gd_x3, gd_f1, gd_f2, gd_f3)

# %%
m_x1, m_x2, m_x3 = ..., ..., ...
m_f1, m_f2, m_f3 = ..., ..., ...

# %%
check("1c momentum", m_x1, m_x2, m_x3, m_f1, m_f2, m_f3)

# %% [markdown]
# <details><summary>Stuck? Hints, one at a time</summary>
#
# <details><summary>First hint</summary>v₀ is the gradient at −3. What is 0.9 v₀ + 0.1 v₀?</details>
# <details><summary>Second hint</summary>x₁ is that of descent. Then v₂ = 0.9 v₁ + 0.1 GELU'(x₁).</details>
# <details><summary>Third hint</summary>To four decimals both walks agree. Print six.</details>
# </details>
#
# ### Worked
#
# The first average is $v_1 = 0.9\,v_0 + 0.1\,\mathrm{GELU}'(x_0)$, and both terms hold the same gradient, so $v_1 = v_0$
# and $x_1$ is that of gradient descent. From then on $v$ is a weighted mean of gradients already seen.

# %%
gd = descent.descend("gradient descent", x0=-3, learning_rate=0.1, steps=3)
a = descent.descend("momentum A", x0=-3, learning_rate=0.1, steps=3, momentum=0.9)
b = descent.descend("momentum B", x0=-3, learning_rate=0.1, steps=3, momentum=0.9)
Table.columns({"step": range(4), "x, descent": gd.x, "x, reading A": a.x, "x, reading B": b.x,
               "GELU, descent": gd.value, "GELU, B": b.value}, ".7f")  # fmt: skip

# %% [markdown]
# The handout says that momentum generally works faster. **Here it does not.** After three steps both momentum readings
# are *behind* plain descent, if only by two hundred-thousandths. The landscape explains it: on the way from $-3$ every
# new gradient is larger than the last, and an average of old gradients is smaller than the newest one. Momentum
# remembers flatter ground.
#
# With $\eta = 1$ the lag is a hundred times larger:

# %%
gd, a, b = (descent.descend(method, -3, 1.0, 3) for method in descent.METHODS[:3])
Table.columns({"step": range(4), "x, descent": gd.x, "x, reading A": a.x, "x, reading B": b.x})

# %% [markdown]
# ### When does it overtake?
#
# Three steps are a short race. Below, the same rules run on, and a ring marks where momentum takes
# the lead. *Heavy ball* is the momentum of PyTorch's SGD, without the factor $1-\beta$: its steps add up to about ten
# times as long. (Adam averages as Eq. 5 does.)

# %%
rules = ("gradient descent", "momentum B", "heavy ball")
slow = [descent.descend(rule, -3, 0.1, steps=600) for rule in rules]
fast = [descent.descend(rule, -3, 1.0, steps=200) for rule in rules[:2]]
leads = (descent.overtaking_step(*slow[:2]), descent.overtaking_step(*fast) or "never")
print(Table.columns({"η": ("0.1", "1"), "momentum B leads from step": leads}))
figures.race(slow, fast)

# %% [markdown]
# With $\eta = 0.1$ momentum lags for almost four hundred steps, then wins; with $\eta = 1$ it is never ahead, and plain
# descent is done after eighty steps. Why? Near the minimum, with the curvature $\lambda = \mathrm{GELU}''(x^*)$, the error
# of the averaged rule is a sum of two powers $r^t$, and $r$ solves
#
# $$r^2 - \bigl(1 + \beta - (1-\beta)\,\eta\lambda\bigr)\,r + \beta = 0.$$
#
# The product of the two roots is $\beta$. From $\eta = 0.071$ on they are complex: momentum swings (the dips are
# crossings), and both have the size $\sqrt\beta = 0.949$, whatever $\eta$ is. Descent keeps $1 - \eta\lambda$ of the
# error: 0.963 at $\eta = 0.1$, so that momentum wins in the end, and 0.629 at $\eta = 1$, so that it loses. Both are equal
# at $\eta = (1-\sqrt\beta)/\lambda = 0.138$.

# %% [markdown]
# ## Explore
#
# **Predict first.** Start at $x_0 = -3$ with $\eta = 1$. Will descent get closer to the minimum in 60 steps with
# $\eta = 5$? And with $\eta = 6$<!-- worked -->, just above the stable limit<!-- /worked -->, will it run
# away or settle into something else? Move η and see. Then try *heavy ball*, momentum without the factor $1-\beta$, with
# $\beta = 0.9$.

# %%
explore.descend(x0=-3.0, learning_rate=1.0, n=12)

# %% [markdown]
# <details><summary>What you may have seen</summary>
#
# At η = 5 descent is in the valley after eight steps, where η = 1 needs about forty. There it swings from side to side
# and loses only 15 % of its error a step, so that η = 1 overtakes at step 57 and is three times nearer at step 60. At η
# = 6 it neither arrives nor runs away: it ends by jumping between −1.0113 and −0.5925 for ever. To the left the valley
# soon bends less than at its bottom, and averaged between these two points its curvature is 2/6: just what η = 6 bears.
# </details>
#
# ### A race
#
# **Predict first.** All four rules are released together from −3 with η = 1. Who touches the valley first, and who
# stands in it at step 100? Press *Play*, then drag the start, or the step on the right.

# %%
explore.race(x0=-3.0, n=20)

# %% [markdown]
# <details><summary>What you may have seen</summary>
#
# Heavy ball is there after twelve steps, overshoots, and is still swinging when plain descent walks in. By step 100
# descent is nearest. The memory that carries a runner over flat ground also carries it past its goal.
# </details>

# %% [markdown]
# ## Cross-check
#
# A number is believed here only if a second route leads to it. The gradient: the formula against a central difference.
# The minimum: a closed form against 20,000 small steps. With $z = 1.702\,x^*$, divide $\mathrm{GELU}'(x^*) = 0$ by
# $\sigma(z)$ and multiply by $1+e^z$: what is left is $1 + z + e^z = 0$. Put $u = -(1+z)$: then $u = e^z$ and
# $z = -1-u$, so that $u = e^{-1-u}$, that is $u\,e^u = 1/e$.
# Lambert's $W$ is the function that solves $u\,e^u = y$, by $u = W(y)$. Hence
#
# $$x^* = -\frac{1+W(1/e)}{1.702}.$$

# %%
x, h = np.array([-3.0, -1.41, 0.0, 2.0]), 1e-5
central = (descent.gelu(x + h) - descent.gelu(x - h)) / (2 * h)
Table.columns({"x": x, "formula": descent.gelu_gradient(x), "central difference": central})

# %%
arrived = descent.descend("gradient descent", -3, 0.1, steps=20_000).x[-1]
print(f"closed form   x* = {descent.minimum():.9f}")
print(f"20,000 steps  x  = {arrived:.9f}")
print(f"GELU(x*) = {descent.gelu(descent.minimum()):.9f}")

# %% [markdown]
# ## What it says, honestly
#
# - One function of one weight is not a network. What carries over is the mechanism: a step size is judged against the
#   curvature, and momentum is an average that lags when gradients grow and helps when they shrink.
# - That momentum lost the first three steps says nothing against it in training, where gradients are noisy and an
#   average also removes noise. Notebook [05](05_numpy_mlp_on_mnist.ipynb) trains with heavy ball.
# - The reading of Eq. 5 matters little here and is a convention: PyTorch's SGD steps along the fresh velocity too.
#
# ## Recap
#
# 1. $\mathrm{GELU}'(x) = \sigma(1.702x) + 1.702\,x\,\sigma(1-\sigma)$; the 1.702 outside is the slip most people make.
# 2. From 0 with η = 0.1: −0.0500, −0.0958, −0.1376. With η = 1: −0.5000, −0.6208, −0.6765.
# 3. From −3 three steps of momentum and of descent agree to four decimals, and momentum is behind.
# 4. Descent near a minimum is stable for η below 2 over the curvature, here 5.395.
# 5. Averaged momentum keeps √β of the error a step: better than descent for η below 0.138, worse above.
#
# **Next:** [02 · Logic gates as the smallest MLPs](02_logic_gates.ipynb). **Sources:** Hendrycks and Gimpel,
# [*Gaussian Error Linear Units*](https://arxiv.org/abs/1606.08415) (2016); Goh,
# [*Why Momentum Really Works*](https://distill.pub/2017/momentum/) (2017); Polyak, *Some methods of speeding up the
# convergence of iteration methods* (1964).
