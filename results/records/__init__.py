"""What training writes: the record of a run, the store, leases, manifests, tuning trials; and merging stores."""
