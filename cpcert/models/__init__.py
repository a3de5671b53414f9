"""Networks that others have trained: files of PyTorch, safetensors and ONNX, live modules, scikit-learn."""
