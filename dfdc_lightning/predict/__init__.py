"""One video → a verdict that says what it rests on, by a trained run or by an export without torch."""
