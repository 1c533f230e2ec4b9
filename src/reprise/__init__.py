"""Reprise brings saved recurrent models back."""
