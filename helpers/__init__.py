"""Shared code of the workbook: core computes, figures draw, explore moves, answers know."""
