"""HotPotQA in ReAct style: questions that take two articles, answered with a small Wikipedia."""
