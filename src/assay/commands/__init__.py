"""The commands of `assay`, a file each: what is asked for, and what is printed."""
