"""The theory bench: problems with proven constants, arbitrary sampling, and measured rates compared with theorems."""
