"""What the parts of the application have agreed on: types, interfaces and behaviours."""
