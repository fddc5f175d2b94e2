"""Reports (通报、台账、函): documents that are made of the views, and files that are written of a document.

A report has no figures of its own. It asks the views as its reader, arranges what they answer in tables, and every kind
of file is written from that one document.
"""
