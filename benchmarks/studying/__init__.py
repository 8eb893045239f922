"""What studies are made of: their registry, the evidence that they are judged by, and the page of their findings."""
