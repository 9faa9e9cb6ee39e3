"""How a stopped run continues: what is written, when, and where the next process picks it up."""
