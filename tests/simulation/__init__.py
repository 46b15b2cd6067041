"""Seeded histories of a brand whose receipts change after their shift ended, and a lake that has to follow.

A history is a list of events made from a seed (`events`). `stage` plays it: what happens at the brand (`brand`), in the
API (`faults`), to the processes (`crash`) and in the project's own runs and sensor ticks (`machinery`). `judging`
compares what the lake holds then with a lake made at once and with plain Python (`oracles`).
"""
