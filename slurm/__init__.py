"""WHERE: plan, launch and watch runs."""
