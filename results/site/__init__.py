"""From a results folder to a site: pages that need no network, and a folder of them for any static host."""
