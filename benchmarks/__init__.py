"""Speed and memory side by side with the packages people use today."""
