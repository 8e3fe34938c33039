"""Hours at full load: does the processor stay as it is?"""
