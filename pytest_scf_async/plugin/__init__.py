"""pytest's side: the plugin itself, markers, reports, and what works together with other plugins."""
