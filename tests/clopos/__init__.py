"""Tests of the Clopos client against real HTTP on loopback."""
