"""The theory bench: problems with proven constants, arbitrary sampling, and rates held against theorems."""
