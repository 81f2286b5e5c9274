"""Rules of families: how versions are ordered, what a build has to prove, what the latest goes back to."""
