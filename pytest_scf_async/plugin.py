"""pytest's side: options, markers, fixtures and report sections."""
