"""How the policies are trained."""
