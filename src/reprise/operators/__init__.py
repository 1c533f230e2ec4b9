"""What each operator is: one record each, and what the rules of the records work with."""
