"""Multichannel NMF of Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510: several microphones, several sources.

The letters are the paper's: F × N bins × frames, I channels, J sources, K components in all; K_j are those of source j.

    x = A s + b,   s_j = Σ_{k ∈ K_j} c_k,   c_k ~ N_c(0, w_fk h_kn),   b ~ N_c(0, Σ_b)        per bin f and frame n

| in the paper  | what it says                                                | function                      |
|---------------|-------------------------------------------------------------|-------------------------------|
| (12)          | C1 = Σ xᴴ Σ_x⁻¹ x + log det Σ_x,  Σ_x = A Σ_s Aᴴ + Σ_b      | `e_step`                |
| (15)–(23)     | E-step: ŝ = Σ_s Aᴴ Σ_x⁻¹ x, and R_xx, R_xs, R_ss            | `e_step`                |
| (24)          | A ← R_xs R_ss⁻¹, convolutive                                | `update_A`              |
| (25)          | Σ_b ← diag(R_xx − A R_xsᴴ − R_xs Aᴴ + A R_ss Aᴴ)            | `update_noise`               |
| (26)          | w ← mean_n u / h, then h ← mean_f u / w                     | `_update_W`, `_update_H`      |
| (29)          | A, instantaneous: one matrix for all bins                   | `update_A_all_bins`     |
| (30)–(31)     | C2 = Σ d_IS(abs(x_i)², v̂_i),  v̂_i = Σ_j q_ij p_j            | `_Fit`                        |
| (38)          | multiplicative rule for q                                   | `_multiply_Q`                 |
| (39)–(40)     | multiplicative rules for W and H                            | `_multiply_W`, `_multiply_H`  |
| (42)          | channel-wise masks                                          | `MNMF.images`                 |
| annealing     | σ(t) from σ_0 to σ_end on standard deviations               | `_annealed`                   |

What keeps divisions finite, always relative to the data (X is first divided by a power of two that brings its mean
magnitude near 1, which loses no digit):

- a noise variance stays above `NOISE_FLOOR` = 1e-14 times the mean power of its bin, and `SILENCE_FLOOR` = 1e-24 times
  that of the whole recording; one that is re-estimated stays above `ESTIMATE_FLOOR` = 1e-7 times the power of its bin,
  since (25) is a difference of numbers of that size, and the likelihood of a mixture without noise has no bound;
- Σ_x is inverted channel by channel; `square_root_posterior` takes over in a bin where Σ_s − Σ_s Aᴴ Σ_x⁻¹ A Σ_s
  cancels: the variance of a channel given the earlier ones is below `CANCELLATION` = 1e-5 of its own, or the posterior
  power of a source below `LOST` = 1e-13 of its prior power;
- no component of EM grows above `LOUDEST` = 4 times the loudest entry of X: from nearly equal columns of A, two sources
  that cancel each other could otherwise become thousands of times louder than what was heard;
- R_ss is inverted with `RIDGE` = 1e-15 of its diagonal added, in such a way that a source without energy keeps its
  column of A; one EM update multiplies an entry of W or H by at least `LEAST_GAIN` = 1e-8;
- for C2, where a zero would cost infinity, abs(x_i)² is lifted to 1e-15 times its mean, and v̂ by `SILENCE_FLOOR`²;
  parameters of silent bins, frames and channels start at 1e-15 of their mean or more: no factor leads out of zero.
"""

from nmflib.mnmf.em import mnmf_em
from nmflib.mnmf.model import MNMF, MNMFInit
from nmflib.mnmf.mu import mnmf_mu
from nmflib.mnmf.start import initialise

__all__ = ["MNMF", "MNMFInit", "initialise", "mnmf_em", "mnmf_mu"]
