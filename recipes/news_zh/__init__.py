"""What `train_news_zh.py` is made of: texts, names, batches, training and scoring of the embedded checkpoint."""
