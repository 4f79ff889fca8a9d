"""Multichannel NMF of Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510: several microphones, several sources.

The letters are the paper's: F × N bins × frames, I channels, J sources, K components in all; K_j are those of source j.

    x = A s + b,   s_j = Σ_{k ∈ K_j} c_k,   c_k ~ N_c(0, w_fk h_kn),   b ~ N_c(0, Σ_b)        per bin f and frame n

| in the paper | what it says                                            | function                     |
|--------------|---------------------------------------------------------|------------------------------|
| (12)         | C1 = Σ xᴴ Σ_x⁻¹ x + log det Σ_x,  Σ_x = A Σ_s Aᴴ + Σ_b  | `e_step`                     |
| (15)–(23)    | E-step: ŝ = Σ_s Aᴴ Σ_x⁻¹ x, and R_xx, R_xs, R_ss        | `e_step`                     |
| (24)         | A ← R_xs R_ss⁻¹, convolutive                            | `update_A`                   |
| (25)         | Σ_b ← diag(R_xx − A R_xsᴴ − R_xs Aᴴ + A R_ss Aᴴ)        | `update_noise`               |
| (26)         | w ← mean_n u / h, then h ← mean_f u / w                 | `update_W`, `update_H` of em |
| (29)         | A, instantaneous: one matrix for all bins               | `update_A_all_bins`          |
| (30)–(31)    | C2 = Σ d_IS(abs(x_i)², v̂_i),  v̂_i = Σ_j q_ij p_j        | `ChannelwiseObjective`       |
| (38)         | multiplicative rule for q                               | `update_Q`                   |
| (39)–(40)    | multiplicative rules for W and H                        | `update_W`, `update_H` of mu |
| (42)         | channel-wise masks                                      | `MNMF.images`                |
| annealing    | σ(t) from σ_0 to σ_end on standard deviations           | `_annealed`                  |

These rules keep divisions finite. They are relative to the data: X is first divided by a power of two that brings its
mean magnitude near 1, which loses no digit.

- A noise variance stays above `NOISE_FLOOR` times the mean power of its bin, and `SILENCE_FLOOR` times that of the
  whole recording. One that is estimated stays above `ESTIMATE_FLOOR` times the power of its bin: (25) is a difference
  of numbers of that size, and the likelihood of a mixture without noise has no bound.
- Σ_x is inverted channel by channel. In a bin where Σ_s − Σ_s Aᴴ Σ_x⁻¹ A Σ_s cancels, `square_root_posterior` takes
  over. That is where the variances of the channels, each given the earlier ones, have a product below `CANCELLATION`
  times that of their own variances, or the posterior power of a source is below `LOST` times its prior power.
- No component of EM grows above `LOUDEST` times the loudest entry of X. From nearly equal columns of A, two sources
  that cancel each other could otherwise become thousands of times louder than the recording.
- R_ss is inverted with `RIDGE` times its diagonal added, in such a way that a silent source keeps its column of A. One
  EM update multiplies an entry of W or H by at least `LEAST_GAIN`.
- For C2, where a zero would cost infinity, abs(x_i)² is lifted to `V_FLOOR` times its mean, and v̂ by `SILENCE_FLOOR`².
  The parameters of silent bins, frames and channels start at `V_FLOOR` times their mean or more, because no factor
  leads out of zero.
"""

from nmflib.mnmf.em import mnmf_em
from nmflib.mnmf.model import MNMF, MNMFInit
from nmflib.mnmf.mu import mnmf_mu
from nmflib.mnmf.start import initialise

__all__ = ["MNMF", "MNMFInit", "initialise", "mnmf_em", "mnmf_mu"]
