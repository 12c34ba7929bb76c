"""What can be done with an account, whatever the front end."""
