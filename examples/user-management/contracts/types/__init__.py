"""Values and errors that pass between the parts."""
