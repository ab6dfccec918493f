"""Search in the terms of other libraries; each module needs the extra of its name."""
