"""Min-max games with known constants and stochastic methods for them; composite problems. One file each."""
