"""What measures of a trained network share: the registry, the network with its data, the loss as a function of all
weights, products with its curvature, ascent in a ball; and what makes the measurements of runs."""
