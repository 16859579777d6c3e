"""What hosting costs: options, capacity and the bill, before and after.

Needs neither torch nor onnx: who has none of them can price a profile that is a JSON file.
"""
