"""One run on several devices: process group, rendezvous, synchronized BatchNorm, torchrun."""
