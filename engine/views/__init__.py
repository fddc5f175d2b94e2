"""What people read: incidents, alerts, figures. Asked by the door and by the command line."""
