"""What the importance-sampled variants share: the paper, and what stands in for its probabilities."""

from .unified_sam import UnifiedSAM

PAPER = UnifiedSAM.info.paper
PROBABILITIES = (
    "The paper's theory takes p_i proportional to smoothness constants, which networks do not have; losses or "
    "gradient-norm bounds stand in for them (Katharopoulos and Fleuret 2018). "
)
