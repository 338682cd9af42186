"""What is wrong or risky in a data set: found, shown, and where it is certain, repaired."""
