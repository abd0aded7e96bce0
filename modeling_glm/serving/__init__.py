"""Answer many callers at once: requests that arrive together share a forward pass, within limits."""
